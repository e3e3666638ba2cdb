"""What concerns the user's own module: copies, what it returns, precision inside, errors that name its line."""
