"""What several tests build on: real, small stand-ins for the world outside."""
