"""Which layers of a program become int8 or half precision, on which images, and what each costs."""
