Feature: run a command in a container
  As docker exec, with a terminal or without.

  Background:
    Given a container that runs "exec tail -f /dev/null"

  Scenario: A shell at my terminal
    When I run "dpty exec -it CONTAINER sh"
    Then I see "/ #"
    When I type "echo it is $((6 * 7))"
    Then I see "it is 42"
    When I type "exit 3"
    Then I am back with exit code 3
    And my terminal is as it was

  Scenario: Ctrl-C is the command's, not mine
    When I run "dpty exec -it CONTAINER sh"
    Then I see "/ #"
    When I type "sleep 100"
    And I wait until "sleep 100" runs in the container
    And I press Ctrl-C
    Then "sleep 100" no longer runs in the container
    When I type "echo still here: $((6 * 7))"
    Then I see "still here: 42"
    When I type "exit"
    Then I am back with exit code 0
    And my terminal is as it was

  Scenario: Ctrl-C without a remote terminal ends my client, and what it started
    When I run "dpty exec -i CONTAINER sleep 123"
    And I wait until "sleep 123" runs in the container
    And I press Ctrl-C
    Then it dies of SIGINT
    And "sleep 123" no longer runs in the container

  Scenario: Piped input without a terminal
    When I pipe "b\na\n" into "dpty exec -i CONTAINER sort"
    Then stdout is "a\nb\n"
    And stderr is ""
    And I am back with exit code 0

  Scenario: No input at all
    When I pipe "" into "dpty exec -i CONTAINER wc -c"
    Then stdout is "0\n"
    And I am back with exit code 0

  Scenario: A command that is not there
    When I run "dpty exec CONTAINER nosuch"
    Then I see "nosuch"
    And I am back with exit code 127

  Scenario: I leave a command that runs on
    When I run "dpty exec -it CONTAINER sleep 124"
    And I wait until "sleep 124" runs in the container
    And I press Ctrl-P Ctrl-Q
    Then I am back with exit code 0
    And my terminal is as it was
    And "sleep 124" runs in the container

  Scenario: A killed client leaves nothing behind
    When I run "dpty exec -it CONTAINER sleep 125"
    And I wait until "sleep 125" runs in the container
    And somebody kills my client with SIGTERM
    Then it dies of SIGTERM
    And my terminal is as it was
    And "sleep 125" no longer runs in the container
