"""What `make run` uses when no key of the live e-Stat API is set: a simulator and the published figures."""
