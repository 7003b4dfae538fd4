"""What the operations need of the world, as protocols; the tests have fakes of them."""
