use kit::idempotency::Key;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{AddService, AddStaff, Bookings, CreateMerchant, OfferServices, Owner, SetHours};
use crate::config::Command;
use crate::domain::{Currency, Length, Name, Notice, Price, Shift, Week};

/// What the demo's salon offers: name, minutes, minutes of the staff's own afterwards, yen.
const SERVICES: [(&str, i32, i32, i64); 3] =
    [("Cut", 45, 15, 5500), ("Color", 90, 30, 12_000), ("Head spa", 60, 0, 8800)];

const PEOPLE: [&str; 3] = ["Yuki", "Haru", "Aoi"];

#[derive(Deserialize)]
struct Opened {
    merchant_id: Uuid,
}

#[derive(Deserialize)]
struct Offered {
    service_id: Uuid,
}

#[derive(Deserialize)]
struct Hired {
    staff_id: Uuid,
}

impl Bookings {
    /// Does what an operator asks for on the command line.
    pub async fn operate(&self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Seed { owner } => self.seed(Owner::named(owner)).await.map(drop),
            Command::Rezone { apply } => self.rezone_by_the_book(apply).await,
        }
    }

    /// Opens the demo's salon for this member, with people who give its services from Tuesday to Sunday, and
    /// returns it. Said again within three days it is the same salon.
    pub async fn seed(&self, owner: Owner) -> anyhow::Result<Uuid> {
        let made = CreateMerchant {
            owner_id: owner.id(),
            name: Name::try_new("Salon Sakura")?,
            time_zone: "Asia/Tokyo".parse()?,
            currency: Currency::try_new("JPY")?,
            notice: Notice::try_new(24 * 60)?,
        };
        let answer = self.create_merchant(key("merchant", "")?, made).await?;
        let merchant = read::<Opened>(&answer.body)?.merchant_id;
        let mut service_ids = Vec::new();
        for (name, minutes, buffer, price) in SERVICES {
            let wanted = AddService {
                owner,
                merchant_id: merchant,
                name: Name::try_new(name)?,
                length: Length::try_new(minutes, buffer)?,
                price: Price::try_new(price)?,
            };
            let answer = self.add_service(key("service", name)?, wanted).await?;
            service_ids.push(read::<Offered>(&answer.body)?.service_id);
        }
        let shifts = (2..=7).flat_map(|weekday| {
            [("10:00", "13:00"), ("14:00", "19:00")].map(|(opens, closes)| (weekday, opens, closes))
        });
        let shifts = shifts.map(|(weekday, opens, closes)| {
            anyhow::Ok(Shift { weekday, opens: opens.parse()?, closes: closes.parse()? })
        });
        let week = Week::try_new(shifts.collect::<Result<_, _>>()?)?;
        for name in PEOPLE {
            let wanted = AddStaff { owner, merchant_id: merchant, name: Name::try_new(name)? };
            let answer = self.add_staff(key("staff", name)?, wanted).await?;
            let staff_id = read::<Hired>(&answer.body)?.staff_id;
            let service_ids = service_ids.clone();
            let gives = OfferServices { owner, merchant_id: merchant, staff_id, service_ids };
            self.offer_services(gives).await?;
            let week = week.clone();
            self.set_hours(SetHours { owner, merchant_id: merchant, staff_id, week }).await?;
        }
        Ok(merchant)
    }
}

fn key(what: &str, name: &str) -> anyhow::Result<Key> {
    Ok(Key::new(&format!("seed {what} {name}"), "seed", name.as_bytes())?)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> anyhow::Result<T> {
    Ok(serde_json::from_slice(body)?)
}
