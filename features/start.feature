Feature: start a container, leave it, and come back
  My terminal becomes the container's, until I leave or it ends.

  Scenario: I start a container and talk to it
    Given a container with a terminal that will run "echo ready; read line; echo you said $line; exit 7"
    When my script starts the container
    Then I see "ready"
    When I type "hello"
    Then I see "you said hello"
    And my script got 7
    And my terminal is as it was

  Scenario: I detach and come back
    Given a container with a terminal that will run "echo ready; while read line; do echo you said $line; done"
    When my script starts the container
    Then I see "ready"
    When I press Ctrl-P Ctrl-Q
    Then my script got None
    And my terminal is as it was
    And the container runs on
    When my script starts the container again
    And I type "I am back"
    Then I see "you said I am back"
    When I press Ctrl-D
    Then my script got 0
    And my terminal is as it was

  Scenario: My client is ended from outside, the container is not
    Given a container with a terminal that will run "echo ready; exec cat"
    When my script starts the container
    Then I see "ready"
    When somebody kills my client with SIGTERM
    Then it dies of SIGTERM
    And my terminal is as it was
    And the container runs on
