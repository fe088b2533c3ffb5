"""What a run is made of: each step executes what ``transforms`` builds, on the connection it is given."""
