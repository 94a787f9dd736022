Feature: copy files into a container and out of it
  As docker cp.

  Background:
    Given a container that runs "echo from inside >/inside; exec tail -f /dev/null"

  Scenario: Out of it
    When I run "dpty cp CONTAINER:/inside copied"
    Then I see "Successfully copied"
    And I am back with exit code 0
    And the file "copied" says "from inside"

  Scenario: Into it
    Given a file "page" that says "from outside"
    When I run "dpty cp page CONTAINER:/tmp/"
    Then I am back with exit code 0
    And in the container "cat /tmp/page" says "from outside"

  Scenario: What is not there
    When I run "dpty cp CONTAINER:/nowhere copied"
    Then I see "/nowhere"
    And I am back with exit code 1
    And there is no file "copied"
