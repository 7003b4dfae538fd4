"""The few widgets that screens are made of. Each draws lines that it is given; none knows what they mean."""
