Feature: a container of my own
  As docker run.

  Scenario: A shell in a new container, which is gone afterwards
    When I run "dpty run --rm -it --network none --name dpty-story busybox sh"
    Then I see "/ #"
    When I type "exit 5"
    Then I am back with exit code 5
    And my terminal is as it was
    And no container is left of "dpty-story"

  Scenario: Piped input runs in the container and its code comes back
    When I pipe "echo from inside; exit 7" into "dpty run --rm -i --network none busybox sh"
    Then stdout is "from inside\n"
    And I am back with exit code 7
