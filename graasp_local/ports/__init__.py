"""What operations need from the outside world, as protocols; the tests have fakes of them."""
