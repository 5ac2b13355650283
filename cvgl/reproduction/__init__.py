"""The paper's tables and figures, measured again on data at hand; the one place beside evaluation that reads ground truth.

    experiments    which there are: their configurations and what was published
    settings       what a reproduction is asked for
    weights        which frozen models a folder of weights holds
    material       a dataset's descriptors: unlabelled ones to learn from, labelled ones to be asked about
    learners       how a configuration becomes something that maps descriptors
    supervised     the upper bound that learns from true pairs
    sampling       the released trainer's draws, which know the buildings
    measuring      one configuration under one seed, kept under the hash of all that it depends on
    reproduce      everything of one experiment with one frozen model
    results        means over seeds, and the files

It is the library's top layer: nothing else in cvgl can import it, so what it knows cannot reach a product's adapter.
"""
