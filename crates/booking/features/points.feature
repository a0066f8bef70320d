Feature: Pay with points
  A point pays a yen. Points are held first and spent only when the booking stands.

  Background:
    Given a salon in Tokyo that is open from 9 to 17, with a break at noon
    And Ann has 1000 points
    And Ann holds 3 January at 10:00

  Scenario: A part is paid with points
    When Ann confirms and pays with 300 points
    Then Ann's booking is confirmed
    And points paid 300 of its 5000 yen
    And Ann has 700 points left

  Scenario: Too few points, and the time is free again
    When Ann confirms and pays with 1001 points
    Then the answer is 409 insufficient_points
    And Ann's booking is cancelled
    And Ann has 1000 points left
    When Ben holds 3 January at 10:00
    Then Ben's booking is held

  Scenario: Whoever cancels has the points back
    Given Ann confirms and pays with 300 points
    When Ann cancels
    Then Ann's booking is cancelled
    And Ann has 1000 points left

  Scenario: Points cannot be reached for a while
    Given points cannot be reached
    When Ann confirms and pays with 300 points
    Then the answer is 202
    And Ann's booking is held
    When points can be reached again
    Then Ann's booking is confirmed
    And Ann has 700 points left
