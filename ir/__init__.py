"""The small graph every model becomes, and what is known about its operators."""
