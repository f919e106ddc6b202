"""What runs leave behind: records, the CSV files made of them, and their statistics."""
