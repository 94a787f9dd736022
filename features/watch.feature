Feature: look on, without touching anything

  Scenario: What I type does not arrive, and I leave with Ctrl-C
    Given a container with a terminal that will run "echo ready; while read line; do echo got $line; done"
    When my script starts the container
    Then I see "ready"
    When I press Ctrl-P Ctrl-Q
    And I run "dpty watch --record cast CONTAINER"
    And I wait until the file "cast" is there
    And I type "hello"
    And I press Ctrl-C
    Then I am back with exit code 0
    And I do not see "got"
    And my terminal is as it was
    And the container runs on

  Scenario: It ends as the container does
    Given a container that runs "trap 'exit 6' TERM; while sleep 0.1; do echo tick; done"
    When I run "dpty watch CONTAINER"
    Then I see "tick"
    When somebody ends the container
    Then I am back with exit code 6
