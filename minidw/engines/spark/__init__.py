"""Apache Spark: where a history outgrows one PostgreSQL."""
