"""The few widgets that screens are made of. Most only draw the lines they are given."""
