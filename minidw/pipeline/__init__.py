"""What a user calls to change the warehouse: each call is one commit, and one line of the ledger."""
