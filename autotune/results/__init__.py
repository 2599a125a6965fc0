"""Results of studies: summaries, confirmed winners, explanations, advice, exports and reports."""
