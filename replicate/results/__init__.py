"""What runs leave behind: the CSV files made of their records, and statistics."""
