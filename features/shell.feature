Feature: a shell, whatever the image has
  The best one that is there, and one beside the container where there is none.

  Scenario: The image has a shell
    Given a container that runs "exec tail -f /dev/null"
    When I run "dpty shell CONTAINER"
    Then I see "/ #"
    When I type "echo it is $((6 * 7)); exit 3"
    Then I see "it is 42"
    And I am back with exit code 3
    And my terminal is as it was

  Scenario: The image has none
    Given a container of an image without a shell that runs "sleep 3600"
    When I run "dpty shell CONTAINER"
    Then I see "has no shell"
    When I type "ps -o args | grep 360[0]; touch made-here; exit 4"
    Then I see "sleep 3600"
    And I am back with exit code 4
    And my terminal is as it was
    And in the container "cat made-here" says nothing
    And the container runs on
