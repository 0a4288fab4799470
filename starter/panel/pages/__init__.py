"""The pages, by what a customer does with them."""
