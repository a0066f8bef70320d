Feature: Reschedule
  The new time is taken and the old one freed together, or nothing happens.

  Background:
    Given a salon in Tokyo that is open from 9 to 17, with a break at noon
    And Ann has booked 3 January at 10:00

  Scenario: The old time is free and the new one taken
    When Ann moves to 4 January at 14:00
    Then Ann's booking is confirmed
    And Ann's booking begins on 4 January at 14:00
    When Ben holds 3 January at 10:00
    Then Ben's booking is held
    When Cem holds 4 January at 14:00
    Then the answer is 409 slot_taken

  Scenario: If the new time is taken, the old one stays
    Given Ben has booked 4 January at 14:00
    When Ann moves to 4 January at 14:00
    Then the answer is 409 slot_taken
    And Ann's booking begins on 3 January at 10:00
    And Ann's booking is confirmed
