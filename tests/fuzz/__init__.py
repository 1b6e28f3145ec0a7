"""Inputs that nobody thought of.

A *target* is a function of octets that must return, whatever they are: it raises what nobody foresaw, or when an
answer is not what it must be.  ``make fuzz SECONDS=60`` runs each for its share of the time with atheris, which
looks for inputs that reach new code.  Under plain pytest (:mod:`.test_targets`) the same targets run over
``seeds/TARGET/``, over ``found/TARGET/`` (every input that ever broke something; it stays), and over what hypothesis
makes of the seeds.

A new target is a function in a module here that :mod:`.targets` names, and a seed at least.
"""
