"""The paper's Tables 1 and 3 on photographs at hand: models of its architecture, side by side.

Data flows as the files read: ``dataset`` (captions) -> ``regions`` (the detector's, computed once)
-> ``settings`` (which models, one recipe) -> ``one_run`` (training, a bundle, its recall through
the shipped path) -> ``timing`` -> ``tables`` (beside ``paper``); ``reproduce`` joins them. Only
``cli/reproduce.py`` imports it.
"""
