"""The paper's tables and figures, measured again on data at hand; the one place beside evaluation that reads ground truth.

    published      every printed number
    contents       which experiments with which frozen models make a page, and which row is which
    experiments    which there are; paper_rows has their configurations, configuration their nouns
    paper_models   the frozen models of the paper's rows
    settings       what a reproduction is asked for
    weights        which frozen models a folder of weights holds
    sources        which data sets a folder holds; worlds draws the built-in one in the layout of one that is not there
    planning       from what is at hand to what a page measures and what is lacking
    material       a dataset's descriptors: unlabelled ones to learn from, labelled ones to be asked about
    splits         Table III; test_split divides a test set, and asks within one view
    learners       how a configuration becomes something that maps descriptors
    supervised     the upper bound that learns from true pairs
    sampling       the released trainer's draws, which know the buildings
    measuring      one configuration under one seed, kept under the hash of all that it depends on
    plausibility   refuses scores that cannot be
    reproduce      everything of one experiment with one frozen model
    results        means over seeds; writing makes files of them, exhibits and drawing figures
    pages          published beside measured; page_writing makes files of them

It is the library's top layer: nothing else in cvgl can import it, so what it knows cannot reach a product's adapter.
"""
