"""Networks from elsewhere: timm's by name, and a user's own code, each with the ``ModelSpec`` that describes it."""
