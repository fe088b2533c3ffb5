"""Measured against a floor and a peer in the same run: absolute times mean nothing on another machine."""
