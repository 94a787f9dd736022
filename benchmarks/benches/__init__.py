"""What is measured: a module for each bench, with `cells`, which runs it and gives one cell after the other."""
