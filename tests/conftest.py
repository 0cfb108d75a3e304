pytest_plugins = [
    "tests.plugins.marks",
    "tests.plugins.costs",
    "tests.plugins.header",
    "tests.plugins.left_open",
    "tests.plugins.patience",
    "tests.plugins.patient_http",
    "tests.servers",
]
