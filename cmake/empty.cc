// A room that holds headers alone still needs one translation unit.
