"""FlexPooling (VISAPP 2023) as a reproducibility benchmark suite.

    experiments/**.yaml -> spec -> plan -> dispatch -> train -> record -> aggregate -> report
"""

__version__ = "0.1.0"
