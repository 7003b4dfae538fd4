"""What every interface calls to make, carry out, resume or roll back a plan. How steps are done is in steps/."""
