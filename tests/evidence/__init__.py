"""Programs about the speed and the endurance of the package, and about other software. The suite does not run them."""
