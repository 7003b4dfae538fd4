"""What every interface calls: a plan made, carried out, resumed, rolled back. Steps are done in steps/."""
