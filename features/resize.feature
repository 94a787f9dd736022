Feature: the window changes while a full-screen program is open
  It draws itself anew, as if it ran here.

  Background:
    Given a container that runs "seq 1 200 >/numbers; exec tail -f /dev/null"
    And a terminal of 24 rows and 80 columns

  Scenario: vi
    When I run "dpty exec -it CONTAINER vi /numbers"
    Then I see "/numbers" in the last row
    And I see "23"
    When I make the window 40 rows and 100 columns
    Then I see "39"
    And I see "/numbers" in the last row
    When I type ":q"
    Then I am back with exit code 0
    And my terminal is as it was

  Scenario: a shell's idea of the size
    When I run "dpty exec -it CONTAINER sh"
    Then I see "/ #"
    When I make the window 33 rows and 99 columns
    Then typing "stty size" soon shows "33 99"
    When I type "exit"
    Then I am back with exit code 0
    And my terminal is as it was
