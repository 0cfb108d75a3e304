pytest_plugins = [
    "tests.plugins.marks",
    "tests.plugins.costs",
    "tests.plugins.header",
    "tests.plugins.patience",
    "tests.servers",
]
