Feature: keep a session and see it again

  Scenario: A session in an editor
    Given a container that runs "seq 1 200 >/numbers; exec tail -f /dev/null"
    When I run "dpty exec -it --record cast CONTAINER vi /numbers"
    Then I see "/numbers" in the last row
    And I see "23"
    When I press Ctrl-P Ctrl-Q
    Then I am back with exit code 0
    When I run "dpty replay --speed 20 cast"
    Then I see "/numbers"
    And I am back with exit code 0
    And my terminal is as it was

  Scenario: A recording that I have is not written over
    Given a container that runs "exec tail -f /dev/null"
    And a file "cast" that says "mine"
    When I run "dpty exec -it --record cast CONTAINER sh"
    Then I see "--force"
    And I am back with exit code 125
    And the file "cast" says "mine"
