"""Pure builders: parameters in, SQLAlchemy statement out. Nothing here touches a connection."""
