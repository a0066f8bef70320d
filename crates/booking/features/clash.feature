Feature: Two cannot have the same time

  Background:
    Given a salon in Tokyo that is open from 9 to 17, with a break at noon

  Scenario: The second is told that it is taken
    Given Ann has booked 3 January at 10:00
    When Ben holds 3 January at 10:00
    Then the answer is 409 slot_taken
    When Ben holds 3 January at 10:30
    Then the answer is 409 slot_taken
    When Ben holds 3 January at 11:00
    Then Ben's booking is held

  Scenario: Twenty want it at the same moment
    When 20 members hold 3 January at 10:00 at the same moment
    Then one of them has it
    And the others are told 409 slot_taken
