"""What every room shares: types, errors, configuration, random numbers, data and models."""
