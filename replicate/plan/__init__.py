"""What is to be trained, what of it is done, and what the rest takes."""
