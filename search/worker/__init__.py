"""Processes and threads that train trials: the only room that starts any, or handles signals."""
