"""Offline runs: the same work for every user of a file of histories, on one machine or on many.

Ray Data places and feeds the workers; what makes a run resumable and exact is the run's folder (`batch.folder`). What is
done with a user comes from outside as a `batch.values.Work`: this room knows neither models nor explanations.

Nothing is imported here: the command line knows `batch.errors` where neither Ray nor pyarrow is installed.
"""
