Feature: a script in a container
  Commands one after the other, in one shell that keeps its state.

  Background:
    Given a container that runs "exec tail -f /dev/null"

  Scenario: What one command has set, the next one finds
    When I pipe "cd /tmp\ngreeting=hello\necho $greeting from $PWD\n" into "dpty script CONTAINER -"
    Then stdout is "hello from /tmp\n"
    And stderr is ""
    And I am back with exit code 0

  Scenario: The first that fails ends it
    When I run "dpty script -x -c false -c date CONTAINER"
    Then I see "+ false"
    And I am back with exit code 1
    And I do not see "+ date"

  Scenario: A question is answered for me
    Given a file "ask" that says "printf 'Name: '; read name; echo hello $name"
    When I run "dpty script --answer Name:=Ada CONTAINER ask"
    Then I see "hello Ada"
    And I am back with exit code 0

  Scenario: Ctrl-C ends what runs in the container, and the script
    Given a file "slow" that says "sleep 123; echo no"
    When I run "dpty script CONTAINER slow"
    And I wait until "sleep 123" runs in the container
    And I press Ctrl-C
    Then it dies of SIGINT
    And "sleep 123" no longer runs in the container
    And my terminal is as it was

  Scenario: What takes too long is ended
    Given a file "slow" that says "sleep 123; echo no"
    And a terminal of 24 rows and 160 columns
    When I run "dpty script --timeout 1 CONTAINER slow"
    Then I see "it took longer than 1 s"
    And I am back with exit code 124
    And "sleep 123" no longer runs in the container
