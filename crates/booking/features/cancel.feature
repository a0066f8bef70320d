Feature: Cancel

  Background:
    Given a salon in Tokyo that is open from 9 to 17, with a break at noon

  Scenario: A cancelled time is free for others
    Given Ann has booked 3 January at 10:00
    When Ann cancels
    Then Ann's booking is cancelled
    When Ben holds 3 January at 10:00
    Then Ben's booking is held

  Scenario: Too late for the member, not for the salon
    Given a salon that wants to know 24 hours ahead
    And Ann has booked 2 January at 10:00
    When Ann cancels
    Then the answer is 422 cancellation_window_closed
    And Ann's booking is confirmed
    When the salon cancels Ann's booking
    Then Ann's booking is cancelled

  Scenario: Nobody cancels another's booking
    Given Ann has booked 3 January at 10:00
    When Ben cancels Ann's booking
    Then the answer is 404 not_found
    And Ann's booking is confirmed
