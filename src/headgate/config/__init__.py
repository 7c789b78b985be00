"""The configuration: one frozen tree, read from a file, the environment and flags, with every mistake named."""

from headgate.config.asking import Ask, Recipe
from headgate.config.load import load
from headgate.config.problems import ConfigError, Problem, dotted
from headgate.config.sections import Jwt, Limits, Model, Server, Tier, Timeout, UsdPerMillion
from headgate.config.tree import Config
from headgate.config.values import Secret, duration, size, text_of

__all__ = [
    "Ask",
    "Config",
    "ConfigError",
    "Jwt",
    "Limits",
    "Model",
    "Problem",
    "Recipe",
    "Secret",
    "Server",
    "Tier",
    "Timeout",
    "UsdPerMillion",
    "dotted",
    "duration",
    "load",
    "size",
    "text_of",
]
